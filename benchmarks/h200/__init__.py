"""The recorded profile of a zoo of networks on one GPU."""
