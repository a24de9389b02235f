"""What stems are played on: the project's own instruments, soundfonts through FluidSynth, kits of drum samples."""
