"""The SDK for serving code; depends on nothing of the server."""
