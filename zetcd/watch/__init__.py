"""The server side of watches (F2, pure): matches the feed against watchers and builds their replies."""
