"""Client of model servers: a remote model used like a local one."""
