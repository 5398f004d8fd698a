"""Distribution inside one process: who gets what, prepared once, written once per turn of the loop."""
