#!/bin/bash
# Prints the Python that `make setup` takes from the PATH: a 3.11, or else a 3.12; "none" where there is neither.
# Of several of one version the quickest, unless the first is within a tenth of it: one that was built without
# profile-guided optimisation needs up to 1.6 times the time of one that was. What cannot make environments, or has no
# headers to compile with, comes after what can. Uses no other program than these.
set -uo pipefail

# Says how far it is from all that is asked for (0: not at all), and how many µs a loop takes it.
probe='
import importlib.util, pathlib, sys, sysconfig, time
if sys.version_info[:2] != (3, int(sys.argv[1])):
    sys.exit(1)
lacks = 2 * (importlib.util.find_spec("ensurepip") is None)
lacks += not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()
least = float("inf")
for _ in range(9):
    begun = time.process_time()
    sum(one * one for one in range(30_000))
    least = min(least, time.process_time() - begun)
print(lacks, int(least * 1e6))
'

best=none lacks=9 takes=0
for minor in 11 12; do
	for name in "python3.$minor" python3 python; do
		while read -r path; do
			[ "$path" -ef "$best" ] && continue
			read -r found_lacks found_takes < <("$path" -c "$probe" "$minor" 2>/dev/null) || continue
			if [ "$found_lacks" -lt "$lacks" ] ||
				{ [ "$found_lacks" -eq "$lacks" ] && [ $((found_takes * 110)) -lt $((takes * 100)) ]; }; then
				best=$path lacks=$found_lacks takes=$found_takes
			fi
		done < <(type -ap "$name")
	done
	[ "$best" = none ] || break
done
echo "$best"
