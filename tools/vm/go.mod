module audisp-history/tools/vm

go 1.26
