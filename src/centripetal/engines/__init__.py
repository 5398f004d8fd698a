"""Back ends behind the broker and presence interfaces, one package each."""
