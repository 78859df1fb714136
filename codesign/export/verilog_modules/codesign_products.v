// Exact product of a matrix and a vector: y[u] = bias[u] * 2**BIAS_SHIFT + sum over t of x[t] * weight[u][t].
// Y_WIDTH holds every sum. All products are made at once: UNITS * TAPS multipliers. Each unit is an instance
// of one module, so that a synthesiser that keeps the hierarchy maps it once.
module codesign_products #(
    parameter UNITS = 8,
    parameter TAPS = 9,
    parameter X_WIDTH = 8,
    parameter X_SIGNED = 0,
    parameter WEIGHT_WIDTH = 6,
    parameter WEIGHT_SIGNED = 1,
    parameter BIAS_WIDTH = 6,
    parameter BIAS_SIGNED = 1,
    parameter BIAS_SHIFT = 7,
    parameter Y_WIDTH = 18
) (
    input  wire [TAPS*X_WIDTH-1:0]            x,
    input  wire [UNITS*TAPS*WEIGHT_WIDTH-1:0] weights,
    input  wire [UNITS*BIAS_WIDTH-1:0]        biases,
    output wire [UNITS*Y_WIDTH-1:0]           y
);
  genvar u;
  generate
    for (u = 0; u < UNITS; u = u + 1) begin : units
      codesign_sum #(
          .TAPS(TAPS), .X_WIDTH(X_WIDTH), .X_SIGNED(X_SIGNED),
          .WEIGHT_WIDTH(WEIGHT_WIDTH), .WEIGHT_SIGNED(WEIGHT_SIGNED),
          .BIAS_WIDTH(BIAS_WIDTH), .BIAS_SIGNED(BIAS_SIGNED), .BIAS_SHIFT(BIAS_SHIFT),
          .Y_WIDTH(Y_WIDTH)
      ) unit (
          .x(x), .weights(weights[u*TAPS*WEIGHT_WIDTH +: TAPS*WEIGHT_WIDTH]),
          .bias(biases[u*BIAS_WIDTH +: BIAS_WIDTH]), .y(y[u*Y_WIDTH +: Y_WIDTH])
      );
    end
  endgenerate
endmodule

// One unit: y = bias * 2**BIAS_SHIFT + sum over t of x[t] * weights[t].
// verilator lint_off DECLFILENAME
module codesign_sum #(
    parameter TAPS = 9,
    parameter X_WIDTH = 8,
    parameter X_SIGNED = 0,
    parameter WEIGHT_WIDTH = 6,
    parameter WEIGHT_SIGNED = 1,
    parameter BIAS_WIDTH = 6,
    parameter BIAS_SIGNED = 1,
    parameter BIAS_SHIFT = 7,
    parameter Y_WIDTH = 18
) (
    input  wire [TAPS*X_WIDTH-1:0]      x,
    input  wire [TAPS*WEIGHT_WIDTH-1:0] weights,
    input  wire [BIAS_WIDTH-1:0]        bias,
    output wire [Y_WIDTH-1:0]           y
);
  // An unsigned word gets a 0 in front of it, so that all are multiplied as signed ones.
  reg signed [X_WIDTH-(X_SIGNED != 0):0]           operand;
  reg signed [WEIGHT_WIDTH-(WEIGHT_SIGNED != 0):0] weight;
  reg signed [BIAS_WIDTH-(BIAS_SIGNED != 0):0]     start;
  reg signed [Y_WIDTH-1:0]                         total;
  integer t;

  // Operands are extended to the result by the rules of signed expressions.
  // verilator lint_off WIDTH
  always @* begin
    start = bias;
    total = start;
    total = total <<< BIAS_SHIFT;
    for (t = 0; t < TAPS; t = t + 1) begin
      operand = x[t*X_WIDTH +: X_WIDTH];
      weight = weights[t*WEIGHT_WIDTH +: WEIGHT_WIDTH];
      total = total + operand * weight;
    end
  end
  // verilator lint_on WIDTH

  assign y = total;
endmodule
// verilator lint_on DECLFILENAME
