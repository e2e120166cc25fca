"""Many runs become a table (chapter 06)."""
