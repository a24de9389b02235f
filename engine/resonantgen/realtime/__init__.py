"""The engine in real time: a transport, a worker that renders ahead, a mixer, and sound out of the machine."""
