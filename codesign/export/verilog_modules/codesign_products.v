// Exact product of a matrix and a vector: y[u] = bias[u] * 2**BIAS_SHIFT + sum over t of x[t] * weight[u][t].
// Y_WIDTH holds every sum. All products are made at once: UNITS * TAPS multipliers.
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
    output reg  [UNITS*Y_WIDTH-1:0]           y
);
  // One bit more than the words have, so that signed and unsigned ones are multiplied alike.
  reg signed [X_WIDTH:0]                operand;
  reg signed [WEIGHT_WIDTH:0]           weight;
  reg signed [X_WIDTH+WEIGHT_WIDTH+1:0] multiple;
  reg signed [BIAS_WIDTH:0]             bias;
  reg signed [Y_WIDTH-1:0]              total;
  integer u, t;

  // Operands are extended to the result by the rules of signed expressions.
  // verilator lint_off WIDTH
  always @* begin
    for (u = 0; u < UNITS; u = u + 1) begin
      bias = {(BIAS_SIGNED != 0) & biases[u*BIAS_WIDTH + BIAS_WIDTH - 1], biases[u*BIAS_WIDTH +: BIAS_WIDTH]};
      total = bias;
      total = total <<< BIAS_SHIFT;
      for (t = 0; t < TAPS; t = t + 1) begin
        operand = {(X_SIGNED != 0) & x[t*X_WIDTH + X_WIDTH - 1], x[t*X_WIDTH +: X_WIDTH]};
        weight = {(WEIGHT_SIGNED != 0) & weights[(u*TAPS + t)*WEIGHT_WIDTH + WEIGHT_WIDTH - 1],
                  weights[(u*TAPS + t)*WEIGHT_WIDTH +: WEIGHT_WIDTH]};
        multiple = operand * weight;
        total = total + multiple;
      end
      y[u*Y_WIDTH +: Y_WIDTH] = total;
    end
  end
  // verilator lint_on WIDTH
endmodule
