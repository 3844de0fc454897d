# fish completion for clues; the command itself knows what may come next, live names included
function __clues_candidates
    set -l words (commandline -opc) (commandline -ct)
    clues completion --for $words[2..-1] 2>/dev/null
end
complete -c clues -f -n 'count (__clues_candidates) >/dev/null' -a '(__clues_candidates)'
