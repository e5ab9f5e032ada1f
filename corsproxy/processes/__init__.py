"""Several processes that serve as one proxy: a supervisor, its nursery and its workers, and what they tell each other."""
