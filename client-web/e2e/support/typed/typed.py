"""Writes down what its terminal is sent, byte by byte, until F12."""
import os
import tty

tty.setraw(0)
# What is seen from outside once it listens.
os.write(1, b"#" * 400)
typed = b""
while not typed.endswith(b"\x1b[24~"):
    typed += os.read(0, 4096)
os.makedirs("Documents", exist_ok=True)
with open("Documents/typed", "wb") as file:
    file.write(typed.removesuffix(b"\x1b[24~"))
