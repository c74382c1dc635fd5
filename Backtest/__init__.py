from Backtest.plots_later import put_off

put_off()
