"""Essay parsing: an essay's text, sentences, readings and argument map."""
