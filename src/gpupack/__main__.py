"""``python -m gpupack`` is the ``gpupack`` command."""

from gpupack.cli import main

if __name__ == "__main__":
    main()
