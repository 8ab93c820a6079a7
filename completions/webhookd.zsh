#compdef webhookd

_webhookd_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _WEBHOOKD_COMPLETE=complete_zsh webhookd)
}

compdef _webhookd_completion webhookd
[ "$funcstack[1]" = "_webhookd" ] && _webhookd_completion "$@"
