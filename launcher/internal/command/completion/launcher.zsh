#compdef launcher
# Completion of launcher for zsh: source <(launcher completion zsh)
_launcher() {
	local -a lines candidates
	local line
	lines=("${(@f)$(launcher __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	for line in "${lines[@]}"; do
		[[ -n $line ]] && candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	done
	if (( ${#candidates} )); then
		_describe launcher candidates
	else
		_files
	fi
}
if [[ ${funcstack[1]} == _launcher ]]; then
	_launcher "$@"
else
	compdef _launcher launcher
fi
