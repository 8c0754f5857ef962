"""The robust rules on a network that learns digits, under attack: one shared architecture, vector updates.

`model` and `shares` are the task, `workers` what honest nodes send, `rounding` the door to integers,
`standing` and `defences` what decides, `training` the rounds, `catalogue` the attacks, `parts` and `summary`
the table.
"""
