"""What the wings share: checks, whole files, types, threads, the settings of the process."""
