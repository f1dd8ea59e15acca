# Prints what a part of the tests prints, with its name in front, and collects its slowest tests in a file.
/^=+ slowest .* =+$/ || /^\([0-9]+ durations? < / { next }
/^[0-9.]+s (setup|call|teardown) / { print > slowest; next }
{ print part ": " $0; fflush() }
