"""The command `calwatch`."""
