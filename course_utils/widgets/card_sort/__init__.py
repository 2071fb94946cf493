"""Card-sorting panel: cards are moved into boxes."""
