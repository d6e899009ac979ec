"""F4: the only server floor that names zmq, plyvel, os, time and threads."""
