"""What a decision rests on: the policies that were in force, and the reasons of a run."""
