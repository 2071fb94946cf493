"""Claim checker: the sentences of an essay compared with the records that they cite."""
