# Completion of audisp-history for bash.

_audisp_history() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' i
	# bash takes "=" for a word of its own.
	if [[ $cur == '=' ]]; then
		cur=
	elif [[ $prev == '=' ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} != -* ]]; then
			command=${COMP_WORDS[i]}
			break
		fi
	done
	COMPREPLY=()
	case $prev in
	--config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--proc | --state-dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--style)
		mapfile -t COMPREPLY < <(compgen -W 'field record' -- "$cur")
		return
		;;
	--format)
		mapfile -t COMPREPLY < <(compgen -W 'audit json ecs pretty' -- "$cur")
		return
		;;
	--boot | --node) return ;;
	esac
	local words=''
	case $command in
	'') words='run replay rules check show status version help' ;;
	run) words='--config' ;;
	replay) words='--config --proc --format --style' ;;
	rules) words='--install' ;;
	check) words='--config --json' ;;
	show) words='--config --state-dir --boot --node' ;;
	status) words='--config --state-dir --json' ;;
	esac
	if [[ $command == replay && $cur != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -o filenames -F _audisp_history audisp-history
