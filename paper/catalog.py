"""The paper's artifacts by name, in the order they are made."""

from paper import fig_1, fig_2, fig_3, fig_5, fig_6, fig_8, table_1, table_2, table_3, table_4

EXPERIMENTS = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (table_1, table_2, table_3, table_4, fig_1, fig_2, fig_3, fig_5, fig_6, fig_8)
}
