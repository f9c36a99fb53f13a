print("quiesce-freezer")
