"""Directories of data, recognised by their first entries: a million images hold no library.

Reading one entry costs microseconds and a data set has millions; so a directory is given up once what it holds is
clear, and the siblings of several such directories are not opened at all. What is not read is still asked for the
wanted name itself.
"""

from __future__ import annotations

#: This many entries, all with endings of data files, make a directory one of data.
SAMPLE = 256
#: So many directories of data below one directory, and its others are taken for the same.
SIBLINGS = 16

#: Directories of these names are entered last: they seldom hold libraries and often a million files.
LATE = frozenset(
    ("data", "dataset", "datasets", "checkpoints", "checkpoint", "logs", "log", "images", "imgs", "results", "output",
     "outputs", "wandb", "runs", "models", "weights", "docs", "doc", "samples", "tmp", "temp")
)  # fmt: skip

#: Endings of files that people and programs keep by the thousand.
ENDINGS = frozenset(
    ("jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "exr", "svg", "npy", "npz", "tfrecord",
     "tfrecords", "parquet", "arrow", "csv", "tsv", "txt", "json", "jsonl", "xml", "wav", "flac", "mp3", "ogg", "mp4",
     "avi", "mkv", "mov", "pcd", "ply", "obj", "off", "bin", "dat", "pkl", "pickle", "h5", "hdf5", "mat", "gz", "bz2",
     "xz", "zst", "tar", "lmdb", "ckpt", "pt", "pth", "safetensors", "index", "log", "html", "md", "pdf", "label",
     "labels", "ann", "mask", "dcm", "nii", "rec", "idx", "feather", "mdb")
)  # fmt: skip


def is_data_name(name: str) -> bool:
    """Tell whether a file name is one of data: a known ending, or nothing but a number or a hash before none."""
    head, dot, ending = name.rpartition(".")
    if dot:
        return ending.lower() in ENDINGS or ending.isdigit()
    return head == "" and name[-4:].isdigit()
