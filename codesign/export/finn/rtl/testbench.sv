// Feeds words of a file to codesign_top and writes down what comes out, and when. Without +stall it gives and
// takes as fast as it can; with it, it halts at random, now and then for that many cycles.
// Lines of the written file: "i CYCLE" when the first word of a frame is taken, "o CYCLE WORD" for a word
// given.

`timescale 1ns / 1ps

module testbench #(
    int unsigned IN_WIDTH,
    int unsigned OUT_WIDTH
);
    localparam int PATIENCE = 2_000_000;  // cycles without an output

    logic clk = 0, rst_n = 0;
    always #5 clk = !clk;

    logic [IN_WIDTH-1:0]  in_data = '0, next;
    logic [OUT_WIDTH-1:0] out_data;
    logic in_valid = 0, in_ready, out_valid, out_ready = 0;

    codesign_top top (.*);

    string  source, sink;
    integer words, frame, from, to;
    integer taken = 0, given = 0, quiet = 0, cycle = 0, halt = 0, pause = 0;

    initial begin
        if (!$value$plusargs("in=%s", source) || !$value$plusargs("out=%s", sink)
            || !$value$plusargs("words=%d", words) || !$value$plusargs("frame=%d", frame))
            $fatal(1, "needs +in= +out= +words= +frame=");
        void'($value$plusargs("stall=%d", pause));
        from = $fopen(source, "r");
        to   = $fopen(sink, "w");
        if (from == 0 || to == 0) $fatal(1, "cannot open the files");
        repeat (32) @(posedge clk);
        rst_n = 1;
    end

    always @(posedge clk) if (rst_n) begin
        cycle <= cycle + 1;
        if (halt > 0) halt <= halt - 1;
        else if (pause > 0 && $urandom_range(pause / 2) == 0) halt <= pause;
        out_ready <= pause == 0 || (halt == 0 && $urandom_range(3) != 0);
        if (!in_valid || in_ready) begin
            in_valid <= 0;
            if ((pause == 0 || $urandom_range(7) != 0) && $fscanf(from, "%h", next) == 1) begin
                in_data  <= next;
                in_valid <= 1;
            end
        end
        if (in_valid && in_ready) begin
            if (taken % frame == 0) $fdisplay(to, "i %0d", cycle);
            taken <= taken + 1;
        end
        quiet <= out_valid ? 0 : quiet + 1;
        if (out_valid && out_ready) begin
            $fdisplay(to, "o %0d %0h", cycle, out_data);
            given <= given + 1;
            if (given + 1 == words) begin
                $fclose(to);
                $finish;
            end
        end
        if (quiet > PATIENCE) $fatal(1, "no output for %0d cycles", PATIENCE);
    end
endmodule
