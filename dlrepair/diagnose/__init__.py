"""From a loader's words and the files themselves to a cause with its evidence."""
