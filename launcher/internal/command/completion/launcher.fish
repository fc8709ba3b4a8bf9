# Completion of launcher for fish: launcher completion fish | source
function __launcher_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found (launcher __complete $words[2..-1] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete -c launcher -f -a '(__launcher_complete)'
