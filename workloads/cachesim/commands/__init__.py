"""`bench cache …`: what can be done with traces beside simulating them.

`description` declares the commands without numpy; `work` carries them out, in a process of its own.
"""
