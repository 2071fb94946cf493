"""Repetition and variety of a text, counted in n-grams of words."""

from course_utils.errors import TextError


def words(text: str) -> list[str]:
    """Return the words of a text: what white space separates, in small letters.

    Punctuation stays with its word, so that anyone can count the same words by hand. Languages written without
    spaces would need another rule.

    Examples
    --------
    >>> words("The dog, the DOG.")
    ['the', 'dog,', 'the', 'dog.']
    """
    return text.lower().split()


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return every run of ``n`` neighbouring words, in order.

    Raises
    ------
    TextError
        If ``n`` is not a whole number from 1, or the text has fewer than ``n`` words.

    Examples
    --------
    >>> ngrams("to be or not", 2)
    [('to', 'be'), ('be', 'or'), ('or', 'not')]
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise TextError(f"n is {n!r}.", "A whole number from 1: how many words make one n-gram.", "Set n=4, or n=2.")
    found = words(text)
    if len(found) < n:
        raise TextError(
            f"The text has {len(found)} word{'' if len(found) == 1 else 's'}.",
            f"At least {n} words, so that there is one {n}-gram to count.",
            "Give a longer text, or let the model write more: raise max_new_tokens.",
        )
    return list(zip(*(found[start:] for start in range(n)), strict=False))


def repeated_ngram_share(text: str, n: int = 4) -> float:
    """Return the share of n-grams that already occurred earlier in the same text.

    Parameters
    ----------
    text : str
        At least ``n`` words, counted by :func:`words`.
    n : int
        Words in a row; 4 is usual, because people seldom say the same four words twice in a short text.

    Returns
    -------
    float
        From 0, nothing is said twice, to almost 1, a loop. It is one minus distinct-n for the same n.

    Raises
    ------
    TextError
        If the text is too short for one n-gram.

    Notes
    -----
    Longer texts repeat more by mere length: compare texts of about the same number of words.

    Examples
    --------
    >>> repeated_ngram_share("to be or not to be or not")
    0.2
    """
    pieces = ngrams(text, n)
    return (len(pieces) - len(set(pieces))) / len(pieces)


def distinct_ngrams(text: str, n: int = 2) -> float:
    """Return distinct-n: the number of different n-grams divided by the number of all n-grams.

    Parameters
    ----------
    text : str
        At least ``n`` words, counted by :func:`words`.
    n : int
        Words in a row; 2 is usual.

    Returns
    -------
    float
        From almost 0, a loop, to 1, no pair twice.

    Raises
    ------
    TextError
        If the text is too short for one n-gram.

    Notes
    -----
    Li, Galley, Brockett, Gao and Dolan (2016), "A Diversity-Promoting Objective Function for Neural Conversation
    Models", section 5. It falls as texts grow, like every ratio of types to tokens.

    Examples
    --------
    >>> distinct_ngrams("to be or not to be")
    0.8
    """
    pieces = ngrams(text, n)
    return len(set(pieces)) / len(pieces)
