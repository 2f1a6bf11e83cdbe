"""The exam: questions, graders, statistics, the gate's decision."""
