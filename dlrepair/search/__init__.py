"""Where a library might be, which of the files found is the right one, and why the others are not.

``sources`` proposes, ``rank`` orders, ``vet`` accepts or rejects, ``trial`` loads in a child process.
Nothing here loads a library into this process.
"""
