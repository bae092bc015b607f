# Completion of audisp-history for fish.

complete -c audisp-history -f
complete -c audisp-history -n __fish_use_subcommand -a run -d 'Read records as auditd writes them'
complete -c audisp-history -n __fish_use_subcommand -a replay -d 'Write logs with their histories'
complete -c audisp-history -n __fish_use_subcommand -a rules -d 'Print or install the audit rules'
complete -c audisp-history -n __fish_use_subcommand -a check -d 'Say what stands in the way of histories'
complete -c audisp-history -n __fish_use_subcommand -a show -d 'Print the history of processes'
complete -c audisp-history -n __fish_use_subcommand -a status -d 'Print what the program does'
complete -c audisp-history -n __fish_use_subcommand -a version -d 'Print the version'
complete -c audisp-history -n __fish_use_subcommand -a help -d 'Print the usage'

complete -c audisp-history -n '__fish_seen_subcommand_from run replay check show status' -l config -r -F -d 'The configuration'
complete -c audisp-history -n '__fish_seen_subcommand_from replay' -F
complete -c audisp-history -n '__fish_seen_subcommand_from replay' -l proc -x -a '(__fish_complete_directories)' -d 'A look at /proc'
complete -c audisp-history -n '__fish_seen_subcommand_from replay' -l format -x -a 'audit json ecs pretty' -d 'What is written'
complete -c audisp-history -n '__fish_seen_subcommand_from replay' -l style -x -a 'field record' -d 'Where a history stands'
complete -c audisp-history -n '__fish_seen_subcommand_from rules' -l install -d 'Put them into rules.d and load them'
complete -c audisp-history -n '__fish_seen_subcommand_from check status' -l json -d 'For programs'
complete -c audisp-history -n '__fish_seen_subcommand_from show status' -l state-dir -x -a '(__fish_complete_directories)' -d 'The state directory'
complete -c audisp-history -n '__fish_seen_subcommand_from show' -l boot -x -d 'How many boots ago'
complete -c audisp-history -n '__fish_seen_subcommand_from show' -l node -x -d 'The host that sent the records'
complete -c audisp-history -n '__fish_seen_subcommand_from show' -a '(__fish_complete_pids)'
