"""Everything that runs on Ray: from a request to an output folder."""
