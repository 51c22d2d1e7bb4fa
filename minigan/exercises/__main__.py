"""python -m minigan.exercises: the mutation table, and what the checker says to each planted wrong answer."""

import sys

from minigan.exercises import EXERCISES, check, mutation_table

print(mutation_table())
if "-v" in sys.argv[1:]:
    for exercise in EXERCISES:
        print(f"\n{exercise.name}: {exercise.asked}")
        for wrong in exercise.wrong:
            print(f"- {check(exercise.name, wrong.answer).wrong}")
