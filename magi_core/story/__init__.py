"""What is asked of a video: chunks, storyboards, transitions, directions."""
