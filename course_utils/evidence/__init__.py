"""A student's own measurements, kept so that an essay can cite them and anybody can do them again."""
