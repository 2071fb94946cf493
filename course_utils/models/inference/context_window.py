"""Context window: which part of a text a model sees when the text is longer than its context."""


def window(n_prompt: int, n_written: int, context: int, n_new: int) -> tuple[int, int]:
    """Return which part of a text the model sees: where it begins, and up to where it is read at once.

    The prompt's last tokens are seen that leave room for ``n_new`` more. When the context is full, the window moves on
    by ``n_new`` tokens, and what it then holds is read at once. So the window depends on how long the text is, and not
    on where it was stopped in between: a text that was stopped goes on as it would have without the stop.

    Parameters
    ----------
    n_prompt, n_written : int
        Tokens of the prompt, at least 1, and tokens written after it.
    context : int
        Tokens that the model can see at once; more than ``n_new``.
    n_new : int
        ``max_new_tokens`` of the settings.

    Examples
    --------
    >>> window(5, 0, 100, 20), window(95, 0, 100, 20), window(95, 19, 100, 20), window(95, 20, 100, 20)
    ((0, 5), (15, 95), (15, 95), (35, 115))
    """
    begin, read_to = max(0, n_prompt - (context - n_new)), n_prompt
    while n_prompt + n_written - begin >= context:
        begin, read_to = begin + n_new, begin + context
    return begin, read_to


def notice_of(begin: int, read_to: int, n_left: int, n_new: int) -> str:
    """Say what a reader should know of the window: that the model did not see all, or has little room left.

    Parameters
    ----------
    begin, read_to : int
        As `window` returns them.
    n_left : int
        Tokens that come before the context is full, at most ``n_new``.
    n_new : int
        Tokens that were asked for.
    """
    if begin:
        return saw_only(read_to, read_to - begin)
    if n_left < n_new:
        return f"The model's context is full after {n_left:,} more tokens; continue once more to go on from there."
    return ""


def saw_only(n_tokens: int, n_seen: int) -> str:
    """Say that a model saw the end of a text only, as every model says it."""
    return f"The text before has {n_tokens:,} tokens; the model saw only the last {n_seen:,}."
