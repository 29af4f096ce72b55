# SPDX-License-Identifier: MIT
#
# apply.awk: reads the mutants (*.mutant) and writes the engine's files as each of them has them.
#
#   awk -v root=SOURCE_TREE -v out=FOLDER -f apply.awk FILE.mutant...
#
# A mutant is a record:
#
#   mutant NAME
#   rule TEXT                       what it breaks
#   kills SCENARIO MEMORY [BOUND]   an exploration that is expected to fail, the first one first; bound 2 if not said
#   quick                           one of the subset that runs with every test run
#   equivalent TEXT                 instead of `kills`: why nothing can be seen; `tries` then says what was explored
#   beyond TEXT                     likewise: why the explorer cannot show it, and why the code is right as it is
#   tries SCENARIO MEMORY [BOUND]
#   --- FILE                        then lines as in a diff: ' ' both, '-' the engine's, '+' the mutant's
#
# There may be several such pieces. The text of ' ' and '-' must stand in the file exactly once, so that a mutant whose
# place has changed is an error and not a mutant less. Written are out/NAME/FILE, and out/index, a line for each mutant:
# name, files, quick or -, kills or equivalent or beyond, explorations, rule, argument, separated by tabs.

function complain(text) {
	print where ": " text | "cat >&2"
	errors++
}

function contents(path,    line, text) {
	if (!(path in cache)) {
		text = ""
		while ((getline line < (root "/" path)) > 0) {
			text = text line "\n"
		}
		close(root "/" path)
		cache[path] = text
	}
	return cache[path]
}

function end_piece(    at, rest) {
	if (path == "") {
		return
	}
	if (!(path in text)) {
		text[path] = contents(path)
		files = files (files == "" ? "" : " ") path
	}
	at = old == "" ? 0 : index(text[path], old)
	rest = at == 0 ? "" : substr(text[path], at + 1)
	if (at == 0) {
		complain(name ": its text is not in " path)
	} else if (index(rest, old) != 0) {
		complain(name ": its text is more than once in " path)
	} else if (old == new) {
		complain(name ": it changes nothing")
	} else {
		text[path] = substr(text[path], 1, at - 1) new substr(text[path], at + length(old))
	}
	path = ""
}

function end_mutant(    p, folder) {
	end_piece()
	if (name == "") {
		return
	}
	if (files == "" || rule == "" || ((kind == "kills") == (argument != "")) || runs == "") {
		complain(name ": incomplete")
	}
	for (p in text) {
		folder = out "/" name "/" p
		sub(/\/[^\/]*$/, "", folder)
		system("mkdir -p '" folder "'")
		ORS = ""
		print text[p] > (out "/" name "/" p)
		ORS = "\n"
		close(out "/" name "/" p)
		delete text[p]
	}
	print name "\t" files "\t" quick "\t" kind "\t" runs "\t" rule "\t" argument > (out "/index")
	name = ""
}

function add_run() {
	runs = runs (runs == "" ? "" : ";") $2 " " $3 " " (NF > 3 ? $4 : 2)
	if (NF < 3 || $3 !~ /^(sc|tso|c11)$/) {
		complain(name ": '" $0 "' is no exploration")
	}
}

function rest_of_line(    value) {
	value = $0
	sub(/^[^ \t]+[ \t]+/, "", value)
	return value
}

{
	where = FILENAME ":" FNR
}

path != "" && /^[- +]/ && !/^--- / {
	if (substr($0, 1, 1) != "+") {
		old = old substr($0, 2) "\n"
	}
	if (substr($0, 1, 1) != "-") {
		new = new substr($0, 2) "\n"
	}
	next
}

/^#/ || /^[ \t]*$/ {
	end_piece()
	next
}

$1 == "mutant" {
	end_mutant()
	name = $2
	if (name in known) {
		complain(name ": there is one of this name already")
	}
	known[name] = 1
	files = rule = runs = argument = ""
	quick = "-"
	kind = "kills"
	next
}

$1 == "rule" { rule = rest_of_line(); next }
$1 == "quick" { quick = "quick"; next }
$1 == "kills" || $1 == "tries" { add_run(); next }
$1 == "equivalent" || $1 == "beyond" {
	kind = $1
	argument = argument (argument == "" ? "" : " ") rest_of_line()
	next
}

$1 == "---" {
	end_piece()
	path = $2
	old = new = ""
	next
}

{
	complain("'" $0 "' is not understood")
}

END {
	end_mutant()
	exit errors != 0
}
