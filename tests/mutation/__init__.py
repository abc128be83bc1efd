"""Whether the tests bite: one small change of the code at a time, and which of them no test notices."""
