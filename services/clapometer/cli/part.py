"""``python -m clapometer.cli.part``: a command of ours as a process that ends with the one that started it."""

from clapometer.lifeline import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    from clapometer.cli.main import main  # takes long: the parent may be gone by the end of it

    main()
