"""Systems that sit in the loop, one package or file each."""
