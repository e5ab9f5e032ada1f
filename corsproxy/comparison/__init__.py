"""What two policies let in, held against each other: who may newly call, and who no longer."""
