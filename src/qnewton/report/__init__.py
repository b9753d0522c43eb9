"""Pictures, tables and pages, made from run folders alone."""

from qnewton.report.break_even import BreakEven, break_even, break_even_points
from qnewton.report.look import style_sheet
from qnewton.report.loss_curves import loss_curves
from qnewton.report.page import write_report
from qnewton.report.page_runs import Curve, curves_of
from qnewton.report.price_map import draw_price_map
from qnewton.report.run_files import write_pictures
from qnewton.report.run_pictures import LayerCell, layer_map, stage_breakdown
from qnewton.report.save import Picture, csv_text, save_chart
from qnewton.report.tables import comparison_table
from qnewton.report.tornado import draw_tornado

__all__ = ["BreakEven", "Curve", "LayerCell", "Picture", "break_even", "break_even_points"]
__all__ += ["comparison_table", "csv_text", "curves_of"]
__all__ += ["draw_price_map", "layer_map", "loss_curves", "save_chart", "stage_breakdown"]
__all__ += ["write_pictures", "write_report"]
__all__ += ["draw_tornado", "style_sheet"]
